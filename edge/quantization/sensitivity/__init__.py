"""Which layer of an integer model costs how much, and what to try: mixed execution, ranking, facts, advice."""
