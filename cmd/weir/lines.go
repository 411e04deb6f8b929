package main

import "bytes"

// lines puts what the workers of a job print together to whole lines, so that
// those of one do not end up inside those of another.
type lines map[lineSource][]byte

// lineSource is one output of one worker.
type lineSource struct {
	taskManager   string
	standardError bool
}

// longestLine is how much of a line is waited for; a longer one is passed on in
// parts.
const longestLine = 64 << 10

// add takes what s printed and returns what is to be shown of it now.
func (l lines) add(s lineSource, data []byte) []byte {
	data = append(l[s], data...)
	end := bytes.LastIndexByte(data, '\n') + 1
	if len(data)-end > longestLine {
		end = len(data)
	}
	l[s] = data[end:]
	return data[:end]
}

// rest calls show for every line that has no end, since none will come.
func (l lines) rest(show func(s lineSource, data []byte)) {
	for s, data := range l {
		if len(data) > 0 {
			show(s, data)
		}
	}
	clear(l)
}
