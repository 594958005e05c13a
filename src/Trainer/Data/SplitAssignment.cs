namespace Trainer.Data;

/// <summary>
/// Says which segments are held out. Going through the corpus, a segment is held out whenever the held-out share has fallen behind by
/// half a segment: so the share is met and its segments are evenly spaced, whatever their sizes.
/// </summary>
/// <param name="fraction">The share of the bytes to hold out, from 0 to 1.</param>
internal sealed class SplitAssignment(double fraction)
{
    private double _total;
    private double _heldOut;

    /// <summary>Whether the next segment, of this size, is held out.</summary>
    public bool Next(int bytes)
    {
        _total += bytes;
        if (_heldOut + (bytes / 2.0) > fraction * _total)
            return false;
        _heldOut += bytes;
        return true;
    }
}
