"""The Mesh Configuration Database: a network as a file that other provisioners read (Mesh CDB 1.0.1)."""
