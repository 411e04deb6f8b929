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
