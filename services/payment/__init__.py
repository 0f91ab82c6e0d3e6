"""The payment service: receipts, what they settle, and the mirror of open items that says what is left to pay."""
