"""The billing API: customers, plans, subscriptions and invoices over HTTP."""
