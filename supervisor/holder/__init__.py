"""keeper and holder: the two tiny parents of every supervised process. Standard library only, no policy.

    keeper ── holder ── daemon
                    └── every supervised process

Run by file, so that nothing of aish (or of site-packages) is loaded:
`python -I -S …/supervisor/holder/__main__.py RUNTIME_DIR [--daemon-argv JSON] [--log FILE] [--lock FILE]`.

**Read in this order** (each file fits on a few screens):
`wire` (protocol, both sides) · `__main__` (start, the two roles in turn) · `estate` (what both roles own) ·
`journal` (who was born, who ended) · `birth` (fork and exec) · `keeper` · `holder` (births, deaths, the line to the
keeper) · `exits` · `desk` (operations) · `shelf` (those about kept descriptors) · `store` (pty drains) ·
`farewell` (the last operation) · `peers` (connections) · `ward` (the daemon) · `revival` (its restarts) · `home`
(the runtime folder) · `succession` (another program in the same process) · `build` (which code this is) · `kernel`
(the few calls that Python lacks). `link` is the client's side; neither program loads it.

**What is guaranteed**, on any kernel that aish runs on unless a line says otherwise:

- A spawn is idempotent per id until its exit is acknowledged; each id is started at most once between two
  acknowledgements, whoever dies at whatever instant. The child itself writes "born" into a journal shared
  by keeper and holder right before it execs; taking over begins with sealing that journal, so a child that
  had not announced itself by then fails to, and ends without having run anything.
- An exit is in the journal before the zombie is reaped, and stays there until it is acknowledged.
- Holder killed: its children become the keeper's (a subreaper), which reaps them, keeps the listening
  socket open and duplicates of every stored descriptor, and forks a new holder in about a millisecond.
- Keeper killed: the holder *becomes* the keeper. It is the parent of all it started, so nothing about them
  changes, and it forks a new holder from itself. Only children that had been inherited from an *earlier*
  holder's death were the dead keeper's own; they go to init, and their exit is then learned through a pidfd
  (the code while they are zombies, from Linux 6.15 on also later; else recorded as unknown: null, never 0).
- Both killed within the same few microseconds to milliseconds (before either took over): children run on
  under init, pty children lose their master; nobody here remembers them. A client that kept (pid, start
  time) or a pidfd can still watch them (`kernel.stranger_status`), and hand pidfds to the next (`link.launch`).
- Bytes of a drained pty: at most one read (under 4 KiB) is lost when the holder is killed between reading
  and writing it; none otherwise. Bytes that the log's file system refuses are counted, never waited for.
- Upgraded: each becomes the program on disk by execve, with its pid and its children; the holder first, so that the
  keeper takes over as ever if the new one dies; then the keeper, whose children of earlier holders would be init's.
- CPU time and peak memory of an exit are null if the holder was killed between reaping and writing them.
"""
