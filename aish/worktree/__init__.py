"""A git worktree for an agent: made before it starts, brought home or thrown away when it has ended."""
