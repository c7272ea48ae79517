"""The chaos run: monitors of all kinds on a cluster that is being hurt, and rules for their logs."""
