"""Raw documents -> token shards with a card: the steps, and a folder for what each needs."""
