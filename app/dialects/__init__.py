"""Other people's APIs, each translated onto the services in a folder of its own."""
