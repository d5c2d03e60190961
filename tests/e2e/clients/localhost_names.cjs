// Loaded before a client: *.localhost is loopback, as for browsers and curl. Not every libc resolves it.
const dns = require("node:dns");

const lookup = dns.lookup;
dns.lookup = (name, ...rest) => lookup(name.endsWith(".localhost") ? "127.0.0.1" : name, ...rest);
