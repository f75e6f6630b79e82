"""The language: source -> tokens -> tree with source ranges -> closures, compiled once -> evaluation.

    text, source        bytes and str at the edges; places and the errors that point at them
    scanner, words, dollar, lexer, conditions, compounds, parser, tree
                        text -> tree; one object in several files
    compile, compile_*  tree -> closures that take the Runtime
    depth               how deep all of this may recurse
    runtime, variables, options, signals, jobs, lookup, host
                        what a running shell has
    fields, pattern, glob, arithmetic, descriptors, terminal, process
                        what the closures call
    builtins/           by topic, each loaded on first use
    diagnose            errors as people see them

This layer knows nothing of daemons, agents or tensors: what it needs from outside is the Protocol in `host`.
It is on the path of `aish -c true`, hence no typing, re, dataclasses, enum ... at run time.
"""
