package task

// Generator makes the watermark of one split, or of one subtask, from its records.
// Its methods are called by one goroutine.
type Generator[T any] interface {
	// OnEvent is called with every record and its event time.
	OnEvent(value T, time int64, out *WatermarkOutput)
	// OnPeriodic is called at intervals of processing time.
	OnPeriodic(out *WatermarkOutput)
}

// WatermarkOutput takes what a [Generator] emits.
type WatermarkOutput struct {
	watermark int64
	idle      bool
}

// Emit says that no record at or before t will follow, in ms since the epoch. One
// that is not above the one before is ignored. The largest of all times says that
// the input has ended, which only the engine knows: it counts as one less.
func (o *WatermarkOutput) Emit(t int64) {
	o.watermark = max(o.watermark, min(t, MaxTime-1))
	o.idle = false
}

// Idle says that nothing may come for a while, so that nobody should wait for this
// input. Its next record, or its next watermark, ends that.
func (o *WatermarkOutput) Idle() { o.idle = true }

// generator is what makes the watermark of a part of the input.
type generator[T any] interface {
	// observe takes note of the first n of the records, as many as may be handed on
	// before the watermark that it returns, at least one.
	observe(values []T, times []int64) (n int, watermark int64)
	// periodic returns the watermark as processing time passes.
	periodic() (watermark int64)
	// idle reports whether the generator says that the input is idle.
	idle() bool
}

// boundedGenerator stays bound behind the largest event time, less one.
type boundedGenerator[T any] struct{ bound, max int64 }

func (g *boundedGenerator[T]) observe(values []T, times []int64) (int, int64) {
	highest := g.max
	for _, t := range times {
		highest = max(highest, t)
	}
	g.max = highest
	return len(values), g.watermark()
}

// watermark is NoTime where the difference would be before the beginning of time.
func (g *boundedGenerator[T]) watermark() int64 {
	if g.max < NoTime+g.bound+2 {
		return NoTime
	}
	return g.max - g.bound - 1
}

func (g *boundedGenerator[T]) periodic() int64 { return g.watermark() }
func (g *boundedGenerator[T]) idle() bool      { return false }

// recordGenerator is a boundedGenerator whose watermark holds for every record
// behind the one that raised it.
type recordGenerator[T any] struct{ boundedGenerator[T] }

func (g *recordGenerator[T]) observe(values []T, times []int64) (int, int64) {
	for i, t := range times {
		if t > g.max {
			g.max = t
			return i + 1, g.watermark()
		}
	}
	return len(values), g.watermark()
}

// noGenerator emits nothing.
type noGenerator[T any] struct{}

func (noGenerator[T]) observe(values []T, _ []int64) (int, int64) { return len(values), NoTime }
func (noGenerator[T]) periodic() int64                            { return NoTime }
func (noGenerator[T]) idle() bool                                 { return false }

// userGenerator is one of the user's. What it emits for a record holds behind that
// record.
type userGenerator[T any] struct {
	user Generator[T]
	out  WatermarkOutput
}

func (g *userGenerator[T]) observe(values []T, times []int64) (int, int64) {
	before := g.out.watermark
	for i := range values {
		g.out.idle = false
		g.user.OnEvent(values[i], times[i], &g.out)
		if g.out.watermark > before {
			return i + 1, g.out.watermark
		}
	}
	return len(values), before
}

func (g *userGenerator[T]) periodic() int64 {
	g.user.OnPeriodic(&g.out)
	return g.out.watermark
}

func (g *userGenerator[T]) idle() bool { return g.out.idle }
