"""Usage windows of subscriptions (five hours, a week): what is known of them, and who may use how much. ADR 18."""
