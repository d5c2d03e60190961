"""The private PKI of the tunnel: keys, certificates, enrolment, revocation and the TLS contexts made of them.

Imports nothing else of this project and never reads the clock: times come in as arguments. The agent uses only
the half that cannot issue (`keys`, `csr`, `identity`, `certificates`, `enrollment`, `renewal`, `tls`);
`ca`, `ca_directory`, `profiles` and `revocation` belong to the gateway and to `jira-certs`.
"""
