// Package codec turns values of a type into bytes and back, for the types whose
// memory image cannot be sent as it is.
//
// # Its room
//
// The task package compiles one [Codec] per record type when the graph is built, and
// writes records with it into network buffers; a state backend writes values.
// The package imports nothing of the project. It knows neither buffers nor
// checksums, and keeps no versions: both ends run the same executable.
//
// # Types
//
// [For] compiles a type by reflection into a flat program, a list of steps
// {operation, offset}; [Codec.Append] and [Codec.Decode] run it over the value's
// memory, without reflection (maps, and the allocation of slices and pointers
// whose elements hold pointers, go through package reflect, which has the only
// door to them). [Codec.Raw] tells that T needs no codec at all.
//
// # What is supported
//
// Booleans, integers, floats, complex numbers, strings, slices, arrays, maps,
// pointers, structs, embedded or not, also recursive types, and named types of
// all of these. nil and empty stay apart. Pointers are followed: a value is a
// tree, and what two pointers share becomes two. A value nested deeper than
// 10,000 is taken to be cyclic.
//
// A time.Time keeps its instant to the nanosecond. UTC stays UTC and Local stays
// Local (which may be another zone on another machine); every other location
// becomes a fixed zone of the name and offset it had at that instant. The
// monotonic reading is dropped.
//
// A type that holds pointers and implements encoding.BinaryMarshaler (or, better,
// encoding.BinaryAppender) and encoding.BinaryUnmarshaler itself is written by
// its own methods; methods promoted from an embedded field do not count. A type
// without pointers is written by its fields, also unexported ones, which say all
// there is.
//
// Refused are functions, channels, interfaces, unsafe pointers, locks, and
// unexported fields of structs that hold pointers; each with its path, all at once.
//
// # The encoding
//
// Values follow each other without names or types. Integers wider than a byte are
// varints (signed ones zigzag), bytes and booleans one byte, floats 4 or 8 bytes
// little-endian. Strings and the output of marshalers are a varint length and the
// bytes; slices and maps are 0 for nil, or length + 1 and the elements; pointers
// are 0 for nil, or 1 and the value. A time is its second since 1970 as a signed
// varint, its nanosecond as a varint, and 0 for UTC, 1 for Local, or 2 and a
// zone's name and offset. Golden bytes in testdata hold it.
//
// # Concurrency
//
// A Codec is immutable and may be used concurrently.
//
// # Invariants
//
//   - D1: Decode of what Append wrote yields an equal value, and takes exactly
//     the bytes that were written.
//   - D2: Decode of any bytes returns without a panic, and allocates no more than
//     a constant times their length.
//   - D3: decoded strings are parts of the string that was decoded, never copies.
//
// # Errors
//
// For lists what a type holds that cannot be encoded. Decode wraps [ErrCorrupt].
// Append cannot fail but by a value's own MarshalBinary, or by a cycle: then it
// panics with an error that wraps [ErrEncode], and the record's task fails.
package codec
