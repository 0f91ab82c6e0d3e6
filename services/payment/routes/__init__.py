"""HTTP in: parse, call, render. One module per noun."""
