"""What takes long, or may hang, is done beside the shell: by one process at the other end of a socket pair.

    link        the shell's end: questions with deadlines, writes that are not lost; one that is stuck is replaced
    work        the other end: question after question until the shell is gone
    answers     what can be asked

The companion is a copy of the shell that was made when something was first asked. It has no terminal, is no child of
the shell (`wait` and `exec` never meet it), and ends by itself when the shell's end of the socket is closed.
"""
