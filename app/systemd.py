"""Being a service: telling systemd how it goes, and the unit that runs a hub with as few rights as it needs."""

import os
import socket
from typing import Final

UNIT: Final = """\
# Doorstep, a hub for homes. Made by `doorstep doctor systemd`; to install:
#   doorstep doctor systemd | sudo tee /etc/systemd/system/doorstep.service
#   sudo systemctl daemon-reload && sudo systemctl enable --now doorstep
#   journalctl -u doorstep        shows the claim code
[Unit]
Description=Doorstep hub
Wants=network-online.target
After=network-online.target

[Service]
Type=notify
ExecStart={command} serve --data %S/doorstep{flags}
Environment=DOORSTEP_LOG_FORMAT=json
Restart=on-failure
RestartSec=2
TimeoutStopSec=30
# 70 (dependencies), 2 (settings) and 8 (damaged data) do not get better by themselves.
RestartPreventExitStatus=2 8 70
DynamicUser=yes
StateDirectory=doorstep
StateDirectoryMode=0700
UMask=0077

NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
ProtectSystem=strict
ProtectHome={protect_home}
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
# AF_NETLINK: to learn of network interfaces; AF_UNIX: the admin socket and systemd's own.
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM
LimitNOFILE=65536
MemoryMax=1G
TasksMax=256

[Install]
WantedBy=multi-user.target
"""


def unit(command: str, *, lan: bool) -> str:
    """The unit file. `command` is what starts Doorstep (absolute); one under /home is only readable there."""
    in_home = command.startswith(("/home/", "/root/"))
    return UNIT.format(command=command, flags=" --lan" if lan else "", protect_home="read-only" if in_home else "yes")


def notify(state: str) -> None:
    """Tell the service manager `state` (`READY=1`, `STOPPING=1`; sd_notify(3)). Nothing when there is none."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as manager:
        manager.setblocking(False)
        try:
            manager.sendto(state.encode(), "\0" + address[1:] if address[0] == "@" else address)
        except OSError:
            return  # a manager that does not listen must not stop a hub
