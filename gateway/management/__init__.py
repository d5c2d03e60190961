"""The management API: `/api/v1` of the API listener, for tokens with the scope `admin` (docs/api.md).

`routes` is the one table of everything that can be asked; routing, validation and the OpenAPI document come from it.
It does what the commands do, through the same gateway.operations.
"""
