//! Random structs with random values: the layout must be the one `capnp` chooses.

use std::fs;

use super::tests::{bytes, capnp, capnp_installed, evaluate_file, schemas};

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }
}

enum Member {
    Field(usize),
    Group(String, Vec<Member>),
    Union(Option<String>, Vec<Member>),
}

/// Type, default, value.
const TYPES: [(&str, &str, &str); 16] = [
    ("Void", "void", "void"),
    ("Bool", "true", "true"),
    ("Bool", "false", "true"),
    ("Int8", "-5", "-100"),
    ("UInt8", "200", "201"),
    ("Int16", "-300", "-30000"),
    ("UInt16", "7", "65535"),
    ("Int32", "-9", "-2000000000"),
    ("UInt32", "1", "4000000000"),
    ("Int64", "-3", "-9000000000000000000"),
    ("UInt64", "5", "18000000000000000000"),
    ("Float32", "1.5", "-2.25"),
    ("Float64", "3.75", "1e100"),
    ("Text", "\"d\"", "\"some text\""),
    ("List(Int16)", "[1]", "[1, -2, 3]"),
    ("E", "b", "c"),
];

/// The members of a scope; `fields` counts the fields of the struct so far.
fn members(random: &mut Random, fields: &mut usize, depth: usize, in_union: bool) -> Vec<Member> {
    let mut unnamed = in_union;
    let count = 2 + random.below(if depth == 0 { 9 } else { 4 });
    (0..count)
        .map(|_| {
            *fields += 1;
            let name = format!("n{fields}");
            match random.below(10) {
                0 | 1 if depth < 3 => {
                    Member::Group(name, members(random, fields, depth + 1, false))
                }
                2 if depth < 3 => {
                    Member::Union(Some(name), members(random, fields, depth + 1, true))
                }
                3 | 4 if depth < 3 && !unnamed => {
                    unnamed = true;
                    Member::Union(None, members(random, fields, depth + 1, true))
                }
                _ => Member::Field(*fields),
            }
        })
        .collect()
}

/// The numbers of the fields in the order in which they are written.
fn numbers(members: &[Member], all: &mut Vec<usize>) {
    for member in members {
        match member {
            Member::Field(number) => all.push(*number),
            Member::Group(_, inner) | Member::Union(_, inner) => numbers(inner, all),
        }
    }
}

/// Field number → ordinal, type, whether it has a default.
type Choices = std::collections::HashMap<usize, (usize, usize, bool)>;

fn declare(members: &[Member], choices: &Choices, text: &mut String) {
    for member in members {
        match member {
            Member::Field(number) => {
                let (ordinal, ty, default) = choices[number];
                let (ty, value, _) = TYPES[ty];
                let default = if default { format!(" = {value}") } else { String::new() };
                text.push_str(&format!("f{number} @{ordinal} :{ty}{default}; "));
            }
            Member::Group(name, inner) | Member::Union(Some(name), inner) => {
                let kind = if matches!(member, Member::Group(..)) { "group" } else { "union" };
                text.push_str(&format!("{name} :{kind} {{ "));
                declare(inner, choices, text);
                text.push_str("} ");
            }
            Member::Union(None, inner) => {
                text.push_str("union { ");
                declare(inner, choices, text);
                text.push_str("} ");
            }
        }
    }
}

fn literal(random: &mut Random, members: &[Member], choices: &Choices, text: &mut String) {
    for member in members {
        match member {
            Member::Field(number) => {
                let (_, _, value) = TYPES[choices[number].1];
                text.push_str(&format!("f{number} = {value}, "));
            }
            Member::Group(name, inner) => {
                text.push_str(&format!("{name} = ("));
                literal(random, inner, choices, text);
                text.push_str("), ");
            }
            Member::Union(name, inner) => {
                let chosen = random.below(inner.len());
                let open = name.as_ref().map(|name| format!("{name} = (")).unwrap_or_default();
                text.push_str(&open);
                literal(random, &inner[chosen..=chosen], choices, text);
                text.push_str(if name.is_some() { "), " } else { "" });
            }
        }
    }
}

#[test]
fn random_structs_are_laid_out_as_capnp_does() {
    if !capnp_installed("random_structs_are_laid_out_as_capnp_does") {
        return;
    }
    let schemas = schemas();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("random.capnp");
    for seed in 1..=5 {
        let mut random = Random(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let mut text = "@0x994204a9202bc200;\nenum E { a @0; b @1; c @2; }\n".to_owned();
        let (mut all, mut values) = (String::new(), String::new());
        for index in 0..100 {
            let mut fields = 0;
            let members = members(&mut random, &mut fields, 0, false);
            let mut order = Vec::new();
            numbers(&members, &mut order);
            for at in (1..order.len()).rev() {
                order.swap(at, random.below(at + 1));
            }
            let choices: Choices = order
                .into_iter()
                .enumerate()
                .map(|(ordinal, number)| {
                    let ty = random.below(TYPES.len());
                    (number, (ordinal, ty, random.below(4) == 0))
                })
                .collect();
            text.push_str(&format!("struct S{index} {{ "));
            declare(&members, &choices, &mut text);
            text.push_str("}\n");
            // Two values, so that other union members are set.
            all.push_str(&format!("s{index} @{index} :List(S{index}); "));
            values.push_str(&format!("s{index} = [("));
            literal(&mut random, &members, &choices, &mut values);
            values.push_str("), (");
            literal(&mut random, &members, &choices, &mut values);
            values.push_str(")],\n");
        }
        text.push_str(&format!("struct All {{ {all} }}\nconst x :All = ({values});\n"));
        fs::write(&path, &text).unwrap();
        let ours = evaluate_file(&path, "x").unwrap_or_else(|error| panic!("{error}"));
        let theirs = capnp(&path, "x", schemas.path()).unwrap();
        assert!(bytes(&ours) == theirs, "seed {seed}");
    }
}
