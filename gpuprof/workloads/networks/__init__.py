"""One network a file; a module that does not start with `_` is a workload, named after its file."""
