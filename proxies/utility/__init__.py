"""The utility proxy: utilities of new queries in every state, learned from measured ones."""
