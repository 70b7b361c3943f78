"""What belongs to the operating system: files, forks, its environment, its terminal."""
