//! The two checksums of the xz container, bytes least significant bit first.

const fn table64() -> [[u64; 256]; 8] {
    let mut tables = [[0u64; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ 0xc96c_5795_d787_0f42 } else { value >> 1 };
            bit += 1;
        }
        tables[0][byte] = value;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

static TABLE64: [[u64; 256]; 8] = table64();

/// CRC-64/XZ, which protects a block's contents.
pub fn crc64(bytes: &[u8]) -> u64 {
    let mut crc = u64::MAX;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = crc;
        for (index, &byte) in chunk.iter().enumerate() {
            word ^= u64::from(byte) << (8 * index);
        }
        crc = (0..8)
            .fold(0, |sum, index| sum ^ TABLE64[7 - index][(word >> (8 * index) & 0xff) as usize]);
    }
    for &byte in chunks.remainder() {
        crc = crc >> 8 ^ TABLE64[0][((crc ^ u64::from(byte)) & 0xff) as usize];
    }
    !crc
}

/// CRC-32, which protects headers and the index. Those are short: no table.
pub fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values() {
        // the check values of the CRC catalogue
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc64(b"123456789"), 0x995d_c9bb_df19_39fa);
        assert_eq!(crc64(b""), 0);
        let long: Vec<u8> = (0..1000u32).map(|n| (n * 7) as u8).collect();
        let slow = !long.iter().fold(u64::MAX, |crc, &byte| {
            crc >> 8 ^ TABLE64[0][((crc ^ u64::from(byte)) & 0xff) as usize]
        });
        assert_eq!(crc64(&long), slow);
    }
}
