"""The cells: equations, and what each is made of."""
