"""`jira-certs`: the private CA by hand, for operators who do not want the gateway to keep it or bring their own PKI.

Reads the command line, calls certs.ca_directory, prints. Results go to standard output, advice to standard error;
private keys go into files only. Exit status: 0 done, 1 refused, 2 wrong usage.
"""

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from certs.errors import CertsError, NameRejected
from certs.identity import AgentIdentity, new_instance_id

if TYPE_CHECKING:  # cryptography takes longer to import than help takes to print
    from cryptography import x509

    from certs.ca_directory import CaDirectory, Order

_UNITS = {"d": "days", "h": "hours", "m": "minutes"}

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
issue = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
app.add_typer(issue, name="issue")


def _duration(text: str) -> timedelta:
    match = re.fullmatch(r"([1-9][0-9]{0,4})([dhm])", text, re.ASCII)
    if match is None:
        raise typer.BadParameter("write it as 7d, 12h or 30m")
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


Dir = Annotated[Path, typer.Argument(metavar="DIR", help="The directory of the CA.", show_default=False)]
Csr = Annotated[Path | None, typer.Option("--csr", metavar="FILE", help="Signing request (PEM, ECDSA P-256).")]
Out = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write it. Default: in DIR.")]
Lifetime = Annotated[
    timedelta | None, typer.Option("--lifetime", parser=_duration, metavar="7d|12h", help="How long it is valid.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.callback()
def root() -> None:
    """Make and keep the private CA of a jira-tunnel.

    The gateway does all of this by itself ('jira-gateway agents invite' is all that is needed to enroll an agent).
    Use these commands when the CA's key must live somewhere else, or when certificates are handed out by hand.

    \b
    A CA, a gateway and an agent by hand:
      jira-certs init /srv/jira-ca
      jira-certs issue server /srv/jira-ca gateway.example.com --csr gateway.csr --out gateway.pem
      jira-certs issue agent  /srv/jira-ca headquarters        --csr agent.csr   --out agent.pem
      jira-certs show /srv/jira-ca
    """  # noqa: D301  # \b keeps the lines of the example apart in --help


@app.command()
def init(directory: Dir, *, lifetime: Lifetime = None, as_json: Json = False) -> None:
    """Make a new CA: ca.key (keep it secret, back it up) and ca.pem (give it to both sides)."""
    authority = _open(directory).create(_now(), lifetime)
    _print_certificate(authority.certificate, directory / "ca.pem", as_json=as_json)


@issue.callback()
def issue_root() -> None:
    """Sign a certificate, for a key made elsewhere (--csr) or made here.

    \b
    A request made where the key shall live:
      openssl ecparam -name prime256v1 -genkey -noout -out agent.key && chmod 600 agent.key
      openssl req -new -key agent.key -subj /CN=agent -out agent.csr
    Names and rights in the request are ignored: they come from this command line.
    """  # noqa: D301  # see root()


@issue.command("server")
def issue_server(
    directory: Dir,
    hosts: Annotated[list[str], typer.Argument(metavar="HOST...", help="DNS names and IP addresses agents dial.")],
    *,
    csr: Csr = None,
    out: Out = None,
    lifetime: Lifetime = None,
    as_json: Json = False,
) -> None:
    """Sign a certificate for a gateway (30 days)."""
    order = _order(out or directory / "server.pem", csr, lifetime)
    certificate = _open(directory).issue_server(order, hosts, _now())
    _print_issued(certificate, order, as_json=as_json)


@issue.command("agent")
def issue_agent(
    directory: Dir,
    agent: Annotated[
        str, typer.Argument(metavar="NAME[/ID]", help="The agent's name at the gateway, and which instance (new).")
    ],
    *,
    csr: Csr = None,
    out: Out = None,
    lifetime: Lifetime = None,
    as_json: Json = False,
) -> None:
    """Sign a certificate for one instance of an agent (7 days)."""
    name, separator, instance = agent.partition("/")
    identity = AgentIdentity(name, instance if separator else new_instance_id())
    order = _order(out or directory / f"agent-{identity.name}-{identity.instance}.pem", csr, lifetime)
    certificate = _open(directory).issue_agent(order, identity, _now())
    _print_issued(certificate, order, as_json=as_json)


@app.command()
def renew(
    directory: Dir,
    certificate: Annotated[Path | None, typer.Argument(metavar="CERT", help="The certificate file.")] = None,
    *,
    ca: Annotated[bool, typer.Option("--ca", help="Make a new CA beside the old one instead.")] = False,
    csr: Csr = None,
    lifetime: Lifetime = None,
    as_json: Json = False,
) -> None:
    """Replace a certificate by one with the same names and a new key, or begin a new CA (--ca).

    With --ca the new CA signs from now on, and ca.pem holds both. A gateway that keeps this CA does the rest: agents
    renew within minutes, the tunnel's certificate follows them. By hand: hand out ca.pem, renew every agent, then the
    gateway's certificate. 'jira-certs show DIR' says where it stands; end it with
    'jira-certs revoke DIR --ca FINGERPRINT' of the old CA.
    """
    if (certificate is None) != ca or (ca and csr is not None):
        raise typer.BadParameter("give either CERT (with --csr, if its key lives elsewhere) or --ca")
    if certificate is None:
        authority = _open(directory).rotate(_now(), lifetime)
        return _print_certificate(authority.certificate, directory / "ca.pem", as_json=as_json)
    order = _order(certificate, csr, lifetime)
    return _print_issued(_open(directory).renew(order, _now()), order, as_json=as_json)


@app.command()
def revoke(
    directory: Dir,
    certificate: Annotated[Path | None, typer.Argument(metavar="CERT", help="This agent's certificate.")] = None,
    *,
    serial: Annotated[str | None, typer.Option(metavar="HEX", help="The certificate with this serial.")] = None,
    agent: Annotated[str | None, typer.Option(metavar="NAME[/ID]", help="An agent, or one instance of it.")] = None,
    ca: Annotated[str | None, typer.Option(metavar="FINGERPRINT", help="An older CA, after a rotation.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="With --ca: cut off who still needs that CA. They must be enrolled again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Deny an agent, one of its instances or one certificate, by revoked.json beside the CA; or an older CA.

    A gateway that uses this directory refuses what is denied, and drops its live links. CERT and --serial deny one
    certificate: an agent that has renewed since shows another, so against a stolen key deny the instance (--agent).
    """
    if sum(way is not None for way in (certificate, serial, agent, ca)) != 1 or (force and ca is None):
        raise typer.BadParameter("give exactly one of CERT, --serial, --agent or --ca (which may have --force)")
    opened = _open(directory)
    if ca is not None:
        opened.distrust(_hexadecimal(ca, "--ca"), _now(), force=force)
    elif agent is not None:
        opened.revoke_agent(agent)
    elif certificate is not None:
        opened.revoke_serial(opened.serial_in(certificate))
    else:
        opened.revoke_serial(int.from_bytes(_hexadecimal(serial or "", "--serial")))
    _print_directory(opened, as_json=as_json)


@app.command()
def show(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="A CA's directory, or a file with certificates.")],
    *,
    as_json: Json = False,
) -> None:
    """Show a CA and its deny-list, or the certificates in a file. Never shows a key."""
    if path.is_dir():
        return _print_directory(_open(path), as_json=as_json)
    from certs.certificates import read_certificates  # noqa: PLC0415  # see the top of the file
    from certs.files import read_public  # noqa: PLC0415  # see the top of the file

    return _print_all(read_certificates(read_public(path), path), {}, as_json=as_json)


def main() -> None:
    """Run the command line; what certs refuses becomes one line and status 1, or 2 if it was typed wrongly."""
    try:
        app(prog_name="jira-certs")
    except CertsError as refused:
        sys.stderr.write(f"jira-certs: {refused}\n")
        sys.exit(2 if isinstance(refused, NameRejected) else 1)


def _now() -> datetime:
    return datetime.now(UTC)


def _open(directory: Path) -> "CaDirectory":
    from certs.ca_directory import CaDirectory  # noqa: PLC0415  # see the top of the file

    return CaDirectory(directory)


def _order(out: Path, csr: Path | None, lifetime: timedelta | None) -> "Order":
    from certs.ca_directory import Order  # noqa: PLC0415  # see the top of the file
    from certs.files import read_public  # noqa: PLC0415  # see the top of the file

    return Order(out, None if csr is None else read_public(csr), lifetime)


def _hexadecimal(text: str, option: str) -> bytes:
    digits = text.replace(":", "").strip()
    try:
        return bytes.fromhex(digits if len(digits) % 2 == 0 else f"0{digits}")
    except ValueError as error:
        raise typer.BadParameter("is not hexadecimal", param_hint=option) from error


def _print_issued(certificate: "x509.Certificate", order: "Order", *, as_json: bool) -> None:
    if order.csr is None:
        sys.stderr.write(
            f"warning: the private key was made on this machine and is in {order.out}. Move the file over a private\n"
            "channel to where it is used, and delete it here. Better: make the key there and pass --csr.\n"
        )
    _print_certificate(certificate, order.out, as_json=as_json)


def _print_certificate(certificate: "x509.Certificate", path: Path, *, as_json: bool) -> None:
    from certs.certificates import describe  # noqa: PLC0415  # see the top of the file

    facts: dict[str, object] = {"file": str(path)} | describe(certificate)
    print(json.dumps(facts) if as_json else _lines(facts))


def _print_directory(directory: "CaDirectory", *, as_json: bool) -> None:
    denied: dict[str, object] = json.loads(directory.deny_list().to_json())
    del denied["version"]
    bundle = directory.bundle()
    parts = {"revoked": denied}
    if len(bundle) > 1 and directory.key_path.exists():
        parts["rollover"] = _rollover(directory, bundle)
    _print_all(bundle, parts, as_json=as_json)


def _rollover(directory: "CaDirectory", bundle: "list[x509.Certificate]") -> dict[str, object]:
    """Say who signs, and for each older CA who still needs it."""
    from certs.certificates import fingerprint  # noqa: PLC0415  # see the top of the file

    signer = directory.authority().certificate
    older = [ca for ca in bundle if ca != signer]
    needed = [need for ca in older for need in directory.needs(ca, _now())]
    step = "wait" if needed else f"jira-certs revoke {directory.path} --ca {fingerprint(older[-1]).hex()}"
    return {"signs": fingerprint(signer).hex(), "needed_by": needed, "next": step}


def _print_all(certificates: "list[x509.Certificate]", parts: dict[str, dict[str, object]], *, as_json: bool) -> None:
    from certs.certificates import describe  # noqa: PLC0415  # see the top of the file

    facts = [describe(certificate) for certificate in certificates]
    if as_json:
        print(json.dumps({"certificates": facts} | parts))
        return
    blocks = [_lines(each) for each in facts]
    blocks += [f"{name}\n{_lines(part)}" for name, part in parts.items()]
    print("\n\n".join(blocks))


def _lines(facts: dict[str, object]) -> str:
    return "\n".join(f"{key:12} {_text(value)}" for key, value in facts.items())


def _text(value: object) -> str:
    return (", ".join(map(str, value)) or "-") if isinstance(value, list) else str(value)


if __name__ == "__main__":
    main()
