using System.Text.Json;

namespace Trainer;

/// <summary>Why a JSON text is refused, in words for users.</summary>
internal static class JsonReason
{
    /// <summary>The message without the place that the reader adds to it, "Path: $ | LineNumber: 0 | BytePositionInLine: 3.", which counts from 0.</summary>
    public static string Of(Exception exception)
    {
        string message = exception.Message;
        if (exception is not JsonException)
            return message;
        int place = message.IndexOf(" Path: ", StringComparison.Ordinal);
        if (place < 0)
            place = message.IndexOf(" LineNumber: ", StringComparison.Ordinal);
        return place < 0 ? message : message[..place];
    }
}
