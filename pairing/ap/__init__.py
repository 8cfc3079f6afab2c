"""AP mode: the device opens a setup network of its own; whoever joins it tells the device which Wi-Fi to join."""
