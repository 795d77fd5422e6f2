"""What the interop tests stand on: our engine, real upstreams, a plain downstream, an agent in a process of its own."""
