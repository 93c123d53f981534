@0xf44732d435305f86;
# Addresses. (The outgoing-network interfaces of the platform are left out: no local host has them.)

struct IpAddress @0xeeb98f9937d32c0b {
  # IPv4 is stored mapped: upper64 = 0, lower64 = 0x0000ffff00000000 | address.

  lower64 @0 :UInt64;
  upper64 @1 :UInt64;
}
