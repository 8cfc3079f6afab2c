"""What IoTDA devices and their platform say to each other, as structs and octets. Pure; both ends use it."""
