"""What can go wrong with the store, as types with data. Their text is one line for an operator."""


class StoreError(Exception):
    """Any failure of the store."""


class StoreUnavailable(StoreError):
    """The database cannot be opened, read or written."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(path, reason)
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return (
            f"the store {self.path} cannot be used ({self.reason}): check the space and permissions on its disk; "
            "if it is damaged, restore a backup"
        )


class SchemaTooNew(StoreError):
    """The store was written by a newer release; this one must not touch it."""

    def __init__(self, path: str, found: str, known: str) -> None:
        super().__init__(path, found, known)
        self.path = path
        self.found = found
        self.known = known

    def __str__(self) -> str:
        return (
            f"the store {self.path} has schema {self.found}, this release knows up to {self.known}: "
            "run the newer release, or restore a backup made by this one"
        )


class NotFound(StoreError):
    """No row of this kind has this name."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(kind, name)
        self.kind = kind
        self.name = name

    def __str__(self) -> str:
        return f"no {self.kind} is named {self.name}"


class AlreadyExists(StoreError):
    """A row of this kind already has this name."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(kind, name)
        self.kind = kind
        self.name = name

    def __str__(self) -> str:
        return f"a {self.kind} named {self.name} already exists"


class InUse(StoreError):
    """The row cannot go while others name it."""

    def __init__(self, kind: str, name: str, users: tuple[str, ...]) -> None:
        super().__init__(kind, name, users)
        self.kind = kind
        self.name = name
        self.users = users

    def __str__(self) -> str:
        return f"{self.kind} {self.name} is named by {', '.join(self.users)}"


class InviteRejected(StoreError):
    """The enrolment code is unknown, used, expired or revoked: which of them is not told to a stranger."""

    def __str__(self) -> str:
        return "the enrolment code is unknown, expired or already used: ask for a new one (agents invite NAME)"
