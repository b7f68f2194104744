"""Jobs over many subscriptions: billing what is due, previewing the next invoice, and auditing invoices."""
