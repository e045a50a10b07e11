package media

import (
	"fmt"
	"strings"
)

// upright is the chain of filters with which every use of the picture begins. Frames
// come as the decoder has them, of any size, shape of pixels, format and colour, which
// may change at each; what leaves is upright, in BT.709 of limited range, and all of
// one size: width by height, each frame fitted in with bars.
//
// It needs the input options of asDecoded: only the first filter, which copes, ever
// sees a change. A filter behind it that was made for one size and gets another reads
// memory that isn't the frame's.
func upright(info Info, width, height int) string {
	if info.Rotation%180 != 0 {
		width, height = height, width
	}
	var f strings.Builder
	if info.Interlaced {
		// At the canvas's own size, whose lines are the source's (see canvas): fields that
		// were scaled together can't be taken apart any more.
		canvasWidth, canvasHeight := info.Width, info.Height
		if info.Rotation%180 != 0 {
			canvasWidth, canvasHeight = canvasHeight, canvasWidth
		}
		canvasWidth, canvasHeight = even(float64(canvasWidth)), even(float64(canvasHeight))
		fmt.Fprintf(&f, "%s,bwdif=mode=send_frame:deint=interlaced,scale=%d:%d", fit(info, canvasWidth, canvasHeight), width, height)
	} else {
		f.WriteString(fit(info, width, height))
	}
	f.WriteString(turn(info.Rotation, info.Mirrored))
	if info.Colour.mapped() {
		fmt.Fprintf(&f, ",lut3d=file=%s:interp=tetrahedral,scale=out_color_matrix=bt709:out_range=tv,format=yuv420p", tableName)
	} else {
		f.WriteString(info.Colour.toMatrix())
	}
	f.WriteString("," + colourTags())
	return f.String()
}

// asDecoded are the input options that upright needs: frames aren't turned before
// the first filter, and the filters stay when a frame's size changes. Set up anew,
// they would count frames from zero again.
func asDecoded() []string { return []string{"-autorotate", "0", "-reinit_filter", "0"} }

// fit scales each frame into width by height, both even, and lays bars around it. It
// does without scale's own way with fields, which writes beyond the frame where a height is no
// multiple of four.
func fit(info Info, width, height int) string {
	pixels, out := "yuv420p", "out_color_matrix="+info.Colour.matrix()+":out_range=tv"
	if info.Colour.mapped() {
		pixels, out = "gbrp10", "out_range=pc" // the table wants RGB, and all bits
	}
	shape := float64(width) / float64(height)
	same := fmt.Sprintf("lt(abs(dar/%f-1),%f)", shape, sameShapeWithin)
	return strings.Join([]string{
		fmt.Sprintf("scale=w='if(%s,%d,max(2,min(%[2]d,trunc(%d*dar/2+0.01)*2)))'", same, width, height) +
			fmt.Sprintf(":h='if(%s,%d,max(2,min(%[2]d,trunc(%d/dar/2+0.01)*2)))'", same, height, width) +
			fmt.Sprintf(":eval=frame:in_color_matrix=%s:%s", info.Colour.fromMatrix(), out),
		"format=" + pixels,
		"setsar=1",
		fmt.Sprintf("pad=w=%d:h=%d:x=trunc((ow-iw)/4)*2:y=trunc((oh-ih)/4)*2:eval=frame", width, height),
	}, ",")
}

// turn mirrors left to right, then turns clockwise.
func turn(degrees int, mirrored bool) string {
	switch {
	case degrees == 90 && mirrored:
		return ",transpose=clock_flip"
	case degrees == 90:
		return ",transpose=clock"
	case degrees == 180 && mirrored:
		return ",vflip"
	case degrees == 180:
		return ",hflip,vflip"
	case degrees == 270 && mirrored:
		return ",transpose=cclock_flip"
	case degrees == 270:
		return ",transpose=cclock"
	case mirrored:
		return ",hflip"
	default:
		return ""
	}
}

// files are what the filters read beside the input.
func files(info Info) map[string][]byte {
	if !info.Colour.mapped() {
		return nil
	}
	return map[string][]byte{tableName: info.Colour.table()}
}
