package media

import (
	"bytes"
	"fmt"
	"math"
	"strings"
)

// Colour is how the source's numbers mean colours, by ffmpeg's names of the code
// points of ITU-T H.273; "" is unknown. Everything that we make is BT.709.
type Colour struct {
	Primaries string `json:"primaries,omitempty"`
	Transfer  string `json:"transfer,omitempty"`
	Matrix    string `json:"matrix,omitempty"`
	Height    int    `json:"height,omitempty"` // of the coded picture, by which players guess what isn't said
}

// colourOf returns what the first frame says that says anything.
func colourOf(frames []surveyedFrame) (c Colour) {
	first := func(into *string, value string) {
		if *into == "" && value != "unknown" && value != "reserved" {
			*into = value
		}
	}
	for _, f := range frames {
		first(&c.Primaries, f.Primaries)
		first(&c.Transfer, f.Transfer)
		first(&c.Matrix, f.Matrix)
		c.Height = max(c.Height, f.Height)
	}
	return c
}

// matrix names how the source's YUV is made of RGB, as the filter scale does. Where the
// frames say nothing players take HD for BT.709, and all else for BT.601.
func (c Colour) matrix() string {
	switch c.Matrix {
	case "bt709", "gbr":
		return "bt709"
	case "bt2020nc", "bt2020c":
		return "bt2020"
	case "smpte240m", "fcc":
		return c.Matrix
	case "":
		if c.mapped() {
			return "bt2020"
		}
		if c.Height >= 720 || c.Height == 0 { // a plan without it was made when nothing was converted
			return "bt709"
		}
	}
	return "bt601"
}

// fromMatrix is what the frames are taken for: what each says, if the first did.
func (c Colour) fromMatrix() string {
	if c.Matrix == "" {
		return c.matrix()
	}
	return "auto"
}

// toMatrix converts YUV as it is to BT.709's. The filter is exact and fast, which scale
// is not, but wants to know what comes.
func (c Colour) toMatrix() string {
	from := map[string]string{"bt601": "bt601-6-625", "bt2020": "bt2020", "smpte240m": "smpte240m", "fcc": "bt470m"}[c.matrix()]
	if from == "" {
		return ""
	}
	return fmt.Sprintf(",colorspace=all=bt709:iall=%s:irange=tv:fast=1", from)
}

func (c Colour) highDynamicRange() bool {
	return c.Transfer == "arib-std-b67" || c.Transfer == "smpte2084"
}

// mapped reports whether colours have to be brought to BT.709 by the table: those of
// high dynamic range, and of primaries beyond it. The primaries of old television
// differ so little that no player minds.
func (c Colour) mapped() bool { return c.highDynamicRange() || c.primaries() != nil }

// primaries returns the matrix to the primaries of BT.709, by rows, for linear light,
// or nil.
func (c Colour) primaries() *[3][3]float64 {
	switch {
	case c.Primaries == "bt2020" || c.Primaries == "" && c.highDynamicRange():
		return &[3][3]float64{ // ITU-R BT.2407, section 2
			{1.660491, -0.587641, -0.072850}, {-0.124550, 1.132900, -0.008349}, {-0.018151, -0.100579, 1.118730}}
	case c.Primaries == "smpte432":
		return &[3][3]float64{ // Display P3
			{1.224940, -0.224940, 0}, {-0.042057, 1.042057, 0}, {-0.019638, -0.078636, 1.098274}}
	default:
		return nil
	}
}

const (
	tableName = "colours.cube"
	tableSide = 33 // entries a side: what lies between is interpolated within a step of eight bits
)

// table returns the map of colours as the filter lut3d reads it (Adobe Cube LUT 1.0),
// red fastest.
func (c Colour) table() []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, "LUT_3D_SIZE %d\n", tableSide)
	at := func(i int) float64 { return float64(i) / (tableSide - 1) }
	for b := range tableSide {
		for g := range tableSide {
			for r := range tableSide {
				shown := c.toBT709([3]float64{at(r), at(g), at(b)})
				fmt.Fprintf(&out, "%.5f %.5f %.5f\n", shown[0], shown[1], shown[2])
			}
		}
	}
	return out.Bytes()
}

const (
	diffuseWhite  = 203.0  // cd/m², what SDR's white becomes (ITU-R BT.2408)
	brightest     = 1000.0 // cd/m², what a phone's film reaches: its highlights are compressed
	displayGamma  = 2.4    // ITU-R BT.1886
	systemGamma   = 1.2    // of HLG on a display of 1000 cd/m² (ITU-R BT.2100)
	pqLargest     = 10000.0
	pqM1, pqM2    = 2610.0 / 16384, 2523.0 / 4096 * 128
	pqC1          = 3424.0 / 4096
	pqC2, pqC3    = 2413.0 / 4096 * 32, 2392.0 / 4096 * 32
	hlgA          = 0.17883277
	hlgB, hlgKnee = 1 - 4*hlgA, 0.5
)

// toBT709 maps one colour, as coded, each component from 0 to 1.
func (c Colour) toBT709(coded [3]float64) [3]float64 {
	light := c.light(coded) // 1 is SDR's white
	if c.highDynamicRange() {
		if peak := max(light[0], light[1], light[2]); peak > 0 {
			light = scaled(light, compress(peak*diffuseWhite)/diffuseWhite/peak)
		}
	}
	if m := c.primaries(); m != nil {
		var out [3]float64
		for i, row := range m {
			out[i] = row[0]*light[0] + row[1]*light[1] + row[2]*light[2]
		}
		light = out // what BT.709 can't show is cut off below, as browsers do
	}
	for i, v := range light {
		light[i] = math.Pow(min(1, max(0, v)), 1/displayGamma)
	}
	return light
}

// light returns the light that a display gives, in the source's primaries.
func (c Colour) light(coded [3]float64) (light [3]float64) {
	for i, v := range coded {
		switch c.Transfer {
		case "smpte2084":
			light[i] = pqToLight(v) / diffuseWhite
		case "arib-std-b67":
			light[i] = hlgToScene(v)
		default:
			light[i] = math.Pow(v, displayGamma)
		}
	}
	if c.Transfer == "arib-std-b67" {
		luma := 0.2627*light[0] + 0.6780*light[1] + 0.0593*light[2]
		if luma > 0 {
			light = scaled(light, brightest/diffuseWhite*math.Pow(luma, systemGamma-1))
		}
	}
	return light
}

func scaled(v [3]float64, by float64) [3]float64 { return [3]float64{v[0] * by, v[1] * by, v[2] * by} }

// pqToLight is the EOTF of PQ, in cd/m² (ITU-R BT.2100, table 4).
func pqToLight(v float64) float64 {
	p := math.Pow(v, 1/pqM2)
	return pqLargest * math.Pow(max(0, p-pqC1)/(pqC2-pqC3*p), 1/pqM1)
}

func lightToPQ(nits float64) float64 {
	p := math.Pow(nits/pqLargest, pqM1)
	return math.Pow((pqC1+pqC2*p)/(1+pqC3*p), pqM2)
}

// hlgToScene is the inverse OETF of HLG (ITU-R BT.2100, table 5).
func hlgToScene(v float64) float64 {
	if v <= hlgKnee {
		return v * v / 3
	}
	c := 0.5 - hlgA*math.Log(4*hlgA)
	return (math.Exp((v-c)/hlgA) + hlgB) / 12
}

// compress brings cd/m² up to the brightest into what SDR can show, and leaves what is
// dark as it is: the EETF of ITU-R BT.2390, section 5.4.1, with black at 0.
func compress(nits float64) float64 {
	top := lightToPQ(brightest)
	largest := lightToPQ(diffuseWhite) / top
	in := min(1, lightToPQ(nits)/top)
	knee := 1.5*largest - 0.5
	if in > knee {
		t := (in - knee) / (1 - knee)
		in = (2*t*t*t-3*t*t+1)*knee + (t*t*t-2*t*t+t)*(1-knee) + (-2*t*t*t+3*t*t)*largest
	}
	return pqToLight(in * top)
}

// colourTags are what every rendition says of itself.
func colourTags() string {
	return "setparams=" + strings.Join([]string{"range=tv", "color_primaries=bt709", "color_trc=bt709", "colorspace=bt709"}, ":")
}
