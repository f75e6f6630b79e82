"""What keeps a process and its tools from files, processes, system calls, the network: docs/reference/sandbox.md."""
