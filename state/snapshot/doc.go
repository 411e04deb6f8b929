// Package snapshot writes and reads the portable snapshot file of one task: all
// of its state at one checkpoint, of whatever backend, in a format from which
// any backend restores it at any parallelism.
//
// # Its room
//
// A task writes one file per checkpoint with a [Writer], in the goroutine that
// reads its snapshots. A restored task opens the files that its predecessors
// wrote and reads from each what has become its own. The package knows bytes
// only: how the entries of a section are encoded is between the operator that
// wrote them and the one that reads them, and [Section.Shape] is where the first
// tells the second. It knows neither files nor checkpoints: it writes to an
// io.Writer and reads from an io.ReaderAt.
//
// # Types
//
// A file has sections, one for each state of each operator. [Section] says whose
// it is and its [Kind] how its entries find their way to other subtasks: by key
// group, evenly, or all to all. [Writer] collects entries into blocks, [Reader]
// lists sections and iterates over entries, [Summary] is what the writer's
// caller hands on.
//
//	w := snapshot.NewWriter(file)
//	err := w.Begin(snapshot.Section{Operator: "counts", Name: "sum", Kind: snapshot.Keyed})
//	for …                                    // in whatever order the table has them
//		err = w.Keyed(key.Group(hash), entry)
//	summary, err := w.Close()
//
//	r, err := snapshot.Open(file, size)
//	for entry, err := range r.Keyed(0, first, last) { … }
//
// # The format, version 1
//
// A header of 24 bytes, the blocks one directly after the other, the footer, a
// trailer of 40 bytes. Integers are little endian, uvarint is that of
// encoding/binary, checksums are xxh3 of 64 bits without a seed.
//
//	header   0  8 bytes "WEIRSNAP"
//	         8  u32 version
//	         12 u32 zero
//	         16 u64 checksum of bytes 0 to 15
//
//	entry    of a keyed section: u16 key group, uvarint length, bytes
//	         of another section: uvarint length, bytes
//
//	footer   uvarint number of sections; for each of them
//	           u8 kind
//	           operator, name, shape: each a uvarint length and bytes
//	           uvarint number of entries
//	           uvarint number of blocks; for each of them
//	             u16 first key group, u16 last key group; only of a keyed section
//	             uvarint number of entries
//	             uvarint length in bytes
//	             u64 checksum
//
//	trailer  0  u64 length of the footer
//	         8  u64 checksum of the footer
//	         16 u64 size of the whole file
//	         24 u64 checksum of bytes 0 to 23
//	         32 8 bytes "PANSRIEW"
//
// The footer has no offsets: its blocks are those of the file in their order, so
// that there is no byte that belongs to nothing, and none that belongs twice.
// Header and trailer keep their places in later versions, so that a reader can
// tell a newer file from a damaged one.
//
// # Blocks and rescaling
//
// The writer divides the key groups of its task ([Writer.Groups]) into at most 64
// parts of equal width and collects a block for each, of up to [BlockSize]. What
// is left at the end of a section is joined, neighbour to neighbour, so that a
// small section is one block. A task that is restored with a part of the groups
// reads the blocks whose groups overlap with its own, and of those the entries
// that are its own. Reading a file in n parts therefore costs about n/64 of its
// size beyond the file itself, as long as n is below 64.
//
// # Memory
//
// The writer holds 64 blocks, 4 MiB, the index so far, which is about 16 bytes for
// each block of 64 KiB, and the one entry at hand. A reader holds the index, 32
// bytes a block, and one block for each iteration. Neither depends otherwise on
// the size of the state.
//
// # Life cycle
//
// [NewWriter] → ([Writer.Groups]) → ([Writer.Begin] → entries)… → [Writer.Close],
// and [Writer.Reset] to write another file with the same buffers. [Open] →
// iterations; a Reader holds nothing that needs closing.
//
// # Concurrency
//
// A Writer has one user at a time. A Reader may be used by several at once if its
// io.ReaderAt may: each iteration has a buffer of its own.
//
// # Invariants
//
//   - S1: a file is complete or [Open] refuses it. A Writer that has refused
//     anything never completes its file.
//   - S2: over any division of the key groups into ranges, every keyed entry is
//     read once, by the range that has its group.
//   - S3: the entries of one key group, and those of a section that is not keyed,
//     are read in the order in which they were written, even where blocks overlap.
//   - S4: every byte is covered by a checksum or compared with what it must be; a
//     byte that changed is found before an entry of its block is handed out.
//   - S5: no length is believed before it was compared with what there is.
//
// # Errors
//
// [ErrTruncated], [ErrCorrupt] and [ErrVersion] are told apart with errors.Is; the
// messages have the section, its operator and the offset in the file. Errors of
// the io.Writer and the io.ReaderAt are wrapped.
//
// # Testing
//
// testdata/v1.txt has the bytes of a file of version 1, written by hand from the
// description above; it is never changed. Random files are read back at random
// parallelism and compared with what was written; each byte of a small file is
// changed in turn; two fuzz targets read damaged files, one of them with
// checksums that are right.
package snapshot
