"""One module a verb: HELP, EXAMPLE, `add_arguments(parser)` and `run(options, config)`; thin, and cheap to import."""
