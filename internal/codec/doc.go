// Package codec turns values of a type into bytes and back, for the types whose
// memory image cannot be sent as it is.
//
// # Its room
//
// The task package compiles one [Codec] per record type when the graph is built, and
// writes records with it into network buffers; a state backend writes values;
// the root package registers what users say of their types. The package imports
// nothing of the project. It knows neither buffers nor
// checksums, and keeps no versions: both ends run the same executable.
//
// # Types
//
// [For] compiles a type by reflection into a flat program; [Codec.Append] and
// [Codec.Decode] run it over the value's memory, without reflection (maps,
// interfaces, and the allocation of slices and pointers whose elements hold
// pointers, go through package reflect, which has the only door to them).
// [Codec.Raw] tells that T needs no codec at all. If T is [Codec.Flat], many
// values lie in a [Block], which is written and read fastest: a field at a time
// for all values, with one copy for all of their strings.
//
// # What is supported
//
// Booleans, integers, floats, complex numbers, strings, slices, arrays, maps,
// pointers, structs, embedded or not, also recursive and generic types, and named
// types of all of these. nil and empty stay apart. Pointers are followed: a value
// is a tree, and what two pointers share becomes two. A value nested deeper than
// 10,000 is taken to be cyclic.
//
// A time.Time keeps its instant to the nanosecond. UTC stays UTC and Local stays
// Local (which may be another zone on another machine); every other location
// becomes a fixed zone of the name and offset it had at that instant. The
// monotonic reading is dropped.
//
// A type is written otherwise than by what it consists of in this order: by the
// codec that was registered for it ([Register]); as a protobuf message, if it is
// a pointer to one, by the deterministic wire format; by its own methods, if it
// holds pointers, which are those of encoding.BinaryAppender or
// encoding.BinaryMarshaler with encoding.BinaryUnmarshaler, or of encoding/gob's
// GobEncoder with GobDecoder, as the numbers of math/big have. Methods promoted
// from an embedded field do not count. A type without pointers and without a
// registered codec is written by its fields, also unexported ones, which say all
// there is.
//
// The value of an interface may be of any type that implements it and was
// registered before the codec was compiled ([RegisterType]).
//
// Refused are functions, channels, unsafe pointers, locks, interfaces that no
// registered type implements, protobuf messages that are no pointers, and
// unexported fields of structs that hold pointers; each with its path, all at
// once.
//
// # The encoding of records
//
// Values follow each other without names or types. A value is its head, its
// texts and its parts.
//
// The head has everything of fixed size in the order of the fields, structs and
// short arrays flattened, without padding: booleans as a byte 0 or 1, integers,
// floats and complex numbers as they lie in memory, which on the platforms that
// Weir is tested on is little-endian; of a string its length in 4 bytes; of a
// time its second since 1970 in 8, its nanosecond in 4, and in 4 the length of
// its zone: 0 for UTC, 2^32-1 for Local.
//
// The texts are the bytes of the strings, then the zones of the times: 4 bytes of
// offset in seconds and the name.
//
// The parts are the fields of no fixed size, in order. Slices and maps are a
// varint, 0 for nil or else length + 1, and the elements, which of a slice of
// bytes or numbers are its memory; in a slice of strings, and in a map of strings
// to strings, the length of a string is a varint. Pointers are 0 for nil, or 1 and
// the value; interfaces 0 for nil, or 1, the id of the type in 4 bytes, and the
// value. What encodes itself is a varint length and the bytes; a pointer to a
// message begins with a byte 0 for nil, or 1. Arrays of more than 16 elements or
// 512 bytes that are no plain memory are their elements.
//
// Golden bytes in testdata hold it. They are no promise to users: what is stored
// for longer than a job runs is in the encoding of state.
//
// # The encoding of state, frozen
//
// Everything is where it is met, little-endian and without padding: booleans as a
// byte 0 or 1; integers in as many bytes as they have, and int, uint and uintptr
// in 8; floats by their bits, complex numbers as two. A string is its length as a
// varint and its bytes. A time is its second since 1970 in 8 bytes, its nanosecond
// in 4, and the length of its zone and the zone as above. Structs are their fields
// but for blank ones, and arrays their elements. Slices and maps are a varint, 0
// for nil or else length + 1, and their elements, those of maps in no order.
// Pointers are 0 for nil, or 1 and the value; interfaces 0 for nil, or the place
// of the value's type among those in the shape, from 1, as a varint, and the
// value. What encodes itself is a varint length and the bytes; in them a pointer
// to a message begins with a byte 0 for nil, or 1.
//
// A shape is the version, 1, and a type. A type is a byte, and what follows it.
// Bool to complex128 are 1 to 16, in the order of package reflect; a string is 17
// and a time 18. A struct is 32, the number of its fields, and of each its name
// and type; an array 33, its length, and the type of its elements; a slice 34 and
// that; a map 35 and the types of key and element; a pointer 36 and a type. An
// interface is 37, the number of types that its values may have, and of each, in
// their order, the name and the type. What encodes itself is its name: 38 by a
// registered codec, 39 by UnmarshalBinary, 40 by GobDecode, 41 as a protobuf
// message, by its full name. Types from 32 on count from 0 in the order in which
// they begin, and one that is met again is 63 and its number. Numbers and the
// lengths of names are varints of as few bytes as possible.
//
// Golden bytes hold both. A line of theirs is never changed, only added.
//
// # How state follows its type
//
// Fields are matched by name. A new field is zero; one that is gone is skipped;
// their order means nothing; embedded fields have the names of their types. A
// number may become one of a type that has all numbers of the old one: wider, or
// signed if it is wider. Elements follow as fields do, except for the keys of maps
// and the length of arrays, which must remain. What encodes itself has to do so by
// the same means under the same name, and then reads its own old bytes. Types of
// interfaces are matched by name. Everything else is refused when the reader is
// made. The names of other types mean nothing.
//
// # What a string keeps alive
//
// A decoded string is part of a copy that it shares with the strings of its batch
// (a flat type) or its buffer (others), 32 KiB at most by default; for a record
// that is larger than a buffer, with its own. Who keeps one string for long keeps
// the copy. Keys are cloned by the tables that keep them, and the strings of a
// record that a reduction keeps by [Codec.Detach], except for those in slices,
// maps and behind pointers, which other records may share. Another accumulator
// keeps what the user's function put into it, which therefore clones, with
// strings.Clone, the strings of records that it keeps for long.
//
// # Concurrency
//
// A Codec is immutable and may be used concurrently. So may the registry; what is
// registered after a codec was compiled does not change it. A [Block] and a
// [BlockReader] have one owner.
//
// # Invariants
//
//   - D1: Decode of what Append wrote yields an equal value, and takes exactly
//     the bytes that were written.
//   - D2: Decode of any bytes returns without a panic, and allocates no more than
//     a constant times their length.
//   - D3: decoded strings are parts of the string that was decoded, or of the one
//     copy that is made of a block's texts for a batch; never of the block itself.
//   - D4: a [StateReader] yields of every value that was written what the rules
//     above say, and keeps D2, whatever the shape; making one from any bytes takes
//     time and memory in proportion to their number and the size of T.
//
// # Errors
//
// For lists what a type holds that cannot be encoded. Decode wraps [ErrCorrupt].
// StateReader wraps [ErrIncompatible] and lists what it cannot read by its path,
// with both shapes.
// Append cannot fail but by a value's own methods or codec, by a value of an
// interface whose type is not registered, or by a cycle: then it panics with an
// error that wraps [ErrEncode] and has the path, and the record's task fails.
package codec
