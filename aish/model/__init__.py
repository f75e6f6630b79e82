"""Types that every layer shares: plain slotted classes and string constants, no imports at run time."""
