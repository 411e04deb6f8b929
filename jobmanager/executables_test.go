package jobmanager_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// linuxExecutable is the smallest file that is an ELF executable for
// linux/amd64: a header without sections and programs.
var linuxExecutable = elfFile(elf.ET_EXEC, elf.EM_X86_64)

func elfFile(kind elf.Type, machine elf.Machine) []byte {
	h := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{
			0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT),
		},
		Type: uint16(kind), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Ehsize: 64,
	}
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, h) // A Buffer takes everything.
	b.WriteString("a program")
	return b.Bytes()
}

// dynamicExecutable is an ELF file with a program header for an interpreter.
func dynamicExecutable() []byte {
	file := bytes.Clone(linuxExecutable[:64])
	binary.LittleEndian.PutUint64(file[32:], 64) // where the program headers begin
	binary.LittleEndian.PutUint16(file[54:], 56) // the size of one
	binary.LittleEndian.PutUint16(file[56:], 1)  // how many
	var b bytes.Buffer
	b.Write(file)
	_ = binary.Write(&b, binary.LittleEndian, elf.Prog64{Type: uint32(elf.PT_INTERP), Off: 120, Filesz: 4}) // A Buffer takes everything.
	b.WriteString("/ld\x00")
	return b.Bytes()
}

// machOFile is the header of an executable for darwin/arm64.
func machOFile() []byte {
	var b bytes.Buffer
	_ = binary.Write(&b, binary.LittleEndian, []uint32{0xfeedfacf, 0x0100000c, 0, 2, 0, 0, 0, 0}) // A Buffer takes everything.
	return b.Bytes()
}

// peFile is the header of an executable for windows/amd64.
func peFile() []byte {
	file := make([]byte, 512)
	copy(file, "MZ")
	file[60] = 64 // where the PE header begins
	copy(file[64:], "PE\x00\x00")
	binary.LittleEndian.PutUint16(file[68:], 0x8664)
	return file
}
