namespace Trainer.Data;

/// <summary>
/// Says which segments are held out. Neighbouring segments are taken together until they make a unit of a given size, so that short
/// documents are not preferred to long ones and related ones stay together; a unit is held out whenever the held-out share has fallen
/// behind by half a unit. So the share is met and its units are evenly spaced.
/// </summary>
/// <param name="fraction">The share of the bytes to hold out, from 0 to 1.</param>
/// <param name="unitBytes">The size of a unit; no segment is larger.</param>
internal sealed class SplitAssignment(double fraction, int unitBytes)
{
    private double _total;
    private double _heldOut;
    private long _unit = unitBytes;
    private bool _isHeldOut;

    /// <summary>Whether the next segment, of this size, is held out.</summary>
    public bool Next(int bytes)
    {
        if (_unit + bytes > unitBytes)
        {
            // Decided by the size that units have, not by the one that this will have: otherwise small ones would be preferred.
            _isHeldOut = _heldOut + (unitBytes / 2.0) <= fraction * (_total + unitBytes);
            _unit = 0;
        }

        _unit += bytes;
        _total += bytes;
        if (_isHeldOut)
            _heldOut += bytes;
        return _isHeldOut;
    }
}
