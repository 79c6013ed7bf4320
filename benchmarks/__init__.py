"""How long a whole build takes, what it needs, and what a plain script needs for the same KPIs."""
