"""What the report says in words: names of metrics, and what each figure shows."""
