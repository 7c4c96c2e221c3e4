"""deriva-watch: brings complete execution directories into a Deriva catalog."""
