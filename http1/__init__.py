"""HTTP/1.1 at both ends of the tunnel: a thin, strict, streaming layer on llhttp that hides nothing."""
