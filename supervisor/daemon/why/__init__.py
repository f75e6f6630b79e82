"""Why a process is as it is: rules over what is known of it, ranked, and a paragraph with its evidence. Pure."""
