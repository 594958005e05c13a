namespace Trainer.Data;

/// <summary>The order in which a corpus is read.</summary>
public enum DataOrder
{
    /// <summary>
    /// Every epoch is another permutation of all windows of T tokens, across all shards. Windows do not overlap but for the last
    /// target, which is the first input of the next window.
    /// </summary>
    Shuffled,

    /// <summary>
    /// As llm.c reads without shuffling: B*T consecutive tokens, then the next; on to the next shard when another batch would not fit;
    /// from the last shard back to the first.
    /// </summary>
    Sequential,

    /// <summary>Windows that begin anywhere, drawn with replacement, as nanoGPT does.</summary>
    Random,
}
