"""What a cause is, and what a person can be told to do now.

Codes and keys are stable. Texts are English originals, looked up by key in any other language.
"""

from msgspec import Struct


class Cause(Struct, frozen=True, kw_only=True):
    """`recognised` says how the hub knows; `text` what the person reads (`{name}` is filled from the failure's detail);
    `next_step` is the key in `NEXT_STEPS` of what to do now; `retryable` whether trying again can help."""

    code: str
    recognised: str
    text: str
    next_step: str
    retryable: bool = True


NEXT_STEPS: dict[str, str] = {
    "check_power_and_cable": "Check the device's power and cable and try again, or add it by its address.",
    "check_network": "Check that nothing separates hub and device (guest network, client isolation, firewall).",
    "check_address": "Give the device's IP address and the port it is paired through.",
    "check_pin": "Read the PIN on the device's label again and type it anew.",
    "reset_device": "Reset the device by hand as its manual says, then try again.",
    "unbind_first": "Ask the owner of the other hub to remove the device, or reset it by hand, then try again.",
    "compare_again": "Try again and compare the codes. If they differ again, somebody may be in between: use a cable.",
    "move_closer": "Bring device and hub closer together, then try again.",
    "restart_device": "Take the device's power away for ten seconds, then try again.",
    "update_device": "Update the device's firmware, or the hub, then try again.",
    "try_again": "Try again.",
    "choose_method": "Choose another way of adding the device.",
    "check_hub_storage": "Look at the hub's storage (`doorstep doctor`), then try again.",
    "ask_admin": "Ask an admin of the home.",
    "remove_first": "Remove the device from the home it is in, then try again.",
    "unfreeze_first": "Have the owner or an admin of the home unfreeze the device, then try again.",
    "use_2g4": "Give a 2.4 GHz network, or let the router show its 2.4 GHz band under its own name.",
    "use_ap": "Add the device through its own setup network instead, or bring it closer to the router.",
    "check_wifi_password": "Type the Wi-Fi password again, in upper and lower case as the router shows it.",
    "check_password_or_band": "Type the Wi-Fi password again, and give a 2.4 GHz network. The device needs no reset.",
    "check_wifi_name": "Choose the network from the list, or type its name again, with every space and capital.",
    "check_isolation": "Turn off client isolation and guest mode, or let mDNS through between the VLANs.",
    "name_setup_network": "Say which setup network is meant, or take the other devices out of their setup mode.",
    "check_setup_mode": "Put the device into its setup mode as its manual says, and try again close to it.",
    "check_code": "Read the code on the device, or in its manual, again and give it anew.",
    "new_session": "Start adding the device anew: that makes a new token.",
    "check_gateway": "Check the gateway's power and network, then try again.",
    "press_on_child": "Put the device into its joining mode, close to the gateway, and open the gateway again.",
    "join_by_phone": "Join the device's setup network with the phone and send it the settings the session shows.",
    "old_network_kept": "Leave the old network on, check the new one's name and password, and try again.",
    "scan_again": "Scan the code again, type the digits under it, or choose another way.",
    "check_lanes": "Run `doorstep doctor lan` on the hub: it names what is blocked, and where to change it.",
    "show_code_again": "Hold the code a hand's breadth before the camera, well lit, and check the Wi-Fi password.",
    "check_bluetooth": "Plug in the hub's Bluetooth adapter and switch it on, or choose another way.",
    "give_bind_key": "Give the sensor's bind key, 32 hexadecimal digits, as its maker's app shows it.",
    "press_button": "Press the device's button when the hub says so, then try again.",
    "choose_another": "Choose another of the devices that were found, or bring the one you mean closer.",
    "keep_out": "Do not add this device. If it is yours, update its firmware first.",
    "nothing": "Nothing needs to be done.",
}
