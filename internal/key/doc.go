// Package key hashes and encodes the keys of keyed streams.
//
// A [Kind] is compiled once per key type, when the graph is built, by [For]. It
// hashes a whole batch in one call, encodes a key canonically (for state, apart
// from the codecs of values), and clones a key that must outlive its buffer.
//
// # Its room
//
// The task package hashes the keys of a batch and sends each record to the subtask
// that [Subtask] names; the state backends index by the hash's low bits and
// store keys in their canonical encoding; a restore asks [GroupRange] which
// groups a subtask owns. The package imports nothing of the project, and knows
// neither records nor state.
//
// # The hash, frozen
//
// State that was written once is found again only while hash and encoding stay
// what they are, so both are frozen for each kind of key, and golden vectors in
// testdata keep them. A key type is flattened to its leaves: structs in the
// order of their fields (blank fields left out, as == leaves them out), arrays
// in the order of their elements, an array of bytes as one leaf.
//
//   - A key of at most eight words and no string is mixed word by word. A
//     boolean is the word 0 or 1; an integer of any width is the word that it
//     widens to in 64-bit two's complement; an array of n bytes is ⌈n/8⌉
//     little-endian words, the last padded with zeros. The hash is
//     h = mix(h ^ word) over the words from h = 0, where mix is the 64-bit
//     finalizer of MurmurHash3 (two multiplications, a bijection).
//   - A key that is one string hashes to xxh3 (64 bits, no seed) of its bytes.
//   - Every other key hashes to xxh3 of its canonical encoding.
//
// The top 16 bits of the hash are the key's group ([Group]): always 65,536
// groups, dealt to subtasks in contiguous ranges. The low bits are left to
// tables.
//
// # The canonical encoding, frozen
//
// The leaves one after the other: a boolean is one byte, 0 or 1; an integer of
// any width is its 64-bit word, big-endian; an array of bytes is those bytes; a
// string is its length as a minimal unsigned varint and its bytes. So a key
// encodes and hashes equally when its type is renamed, wrapped in a struct, or
// widened from one integer type to another.
//
// # The shape, frozen
//
// A [Shape] is kept beside keys that are stored, so that those of another type are
// refused ([Kind.Accepts]) instead of taken for what they are not. It is the
// version, 1, and a type, which is a byte and what follows it: a boolean is 1; an
// integer of 8, 16, 32 or 64 bits is 2 to 5 with a sign and 6 to 9 without; a
// string 10; an array of bytes 11 and its length; a struct 12, the number of its
// fields, and of each its name and type; an array 13, its length, and the type of
// its elements. A struct with one field is that field; blank fields and what takes
// no room are left out, so that nothing at all is a struct without fields. Numbers,
// and the lengths of names, are minimal unsigned varints.
//
// Keys are accepted by a kind of the same shape, or of one with integers that have
// all the numbers of the old ones. Fields of structs must have their names and
// order, since keys are told apart by the order of their parts alone.
//
// # Concurrency
//
// A Kind is immutable after For and may be used concurrently. An [Arena] has
// one owner.
//
// # Invariants
//
//   - K1: equal keys have equal hashes and equal encodings, in every process;
//     padding and blank fields never enter either.
//   - K2: different keys have different encodings, and Decode accepts only what
//     Append writes.
//   - K3: GroupRange is the inverse of Subtask, for every parallelism.
//   - K4: a key of a shape that a kind accepts is decoded by it, into a key with the
//     same encoding and hash.
//
// # Errors
//
// For refuses a type that has no deterministic encoding, and says which field
// it is and what to use instead. Decode refuses, with [ErrCorrupt], bytes that
// Append did not write. Accepts refuses, with [ErrIncompatible], keys of another
// type, with both shapes.
//
// # Testing
//
// testdata/golden.txt holds hash and encoding per kind of key; a line in it is
// never changed, only added.
package key
